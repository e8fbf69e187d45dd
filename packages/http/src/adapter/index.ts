// What an adapter is made of, whatever its framework is; for one on node:http see `@keelson/http/node`.
export { answerTap, type AnswerTap, type AnswerTapParts, type Go } from '../answer-tap.ts'
export { bodyTap, type BodyTap } from '../body-tap.ts'
export { cacheableBy, type CacheableDecorator, type CacheableRule } from '../cacheable.ts'
export type { Components } from '../components.ts'
export { groupHeaders } from '../list-header.ts'
export { checkRouteMethods } from '../route-methods.ts'
