import { bookingsOn } from './bookings.ts'

export default bookingsOn('nest', 'Postgres', 16)
