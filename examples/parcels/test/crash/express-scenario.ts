import { bookingsOn } from './bookings.ts'

export default bookingsOn('express', 'Redis', 8)
