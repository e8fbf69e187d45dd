import { conforms } from '../../http/test/conforms.ts'
import { expressSubject } from './express-subject.ts'
import { frameworks } from './support.ts'

for (const framework of frameworks) conforms(expressSubject(framework))
