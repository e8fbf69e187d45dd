import { bookingsOn } from './bookings.ts'

export default bookingsOn('fastify', 'Postgres', 16)
