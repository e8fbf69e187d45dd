export type { Answer, AnswerScript } from './answer.ts'
export { startReceiver, type ReceivedRequest, type Receiver, type ReceiverOptions } from './receiver.ts'
