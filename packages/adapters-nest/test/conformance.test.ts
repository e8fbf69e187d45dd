import { conforms } from '../../http/test/conforms.ts'
import { nestSubject } from './nest-subject.ts'
import { platforms } from './platforms.ts'

for (const platform of platforms) conforms(nestSubject(platform))
