/** Its types are where its exports do not lead. */
declare module 'idempotency-backend/express' {
  const middleware: import('express').RequestHandler
  export default middleware
}
