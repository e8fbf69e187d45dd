import { conforms } from '../../http/test/conforms.ts'
import { fastifySubject } from './fastify-subject.ts'

conforms(fastifySubject)
