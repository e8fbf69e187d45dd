import type { RxCollection, WithDeleted } from 'rxdb'
import type { replicateRxCollection } from 'rxdb/plugins/replication'
import { Subject } from 'rxjs'
import { editOf, type Doc } from './edits.ts'
import type { Local } from './kept.ts'
import { openOwed, type OwedState } from './owed.ts'
import { openTurns } from './turns.ts'
import { openWire, type WireOptions } from './wire.ts'

type Fields = Record<string, any>
type Options = Required<Parameters<typeof replicateRxCollection<Fields, { n: number }>>[0]>
type Row = Parameters<Options['push']['handler']>[0][number]

/**
 * `pull` and `push` of `replicateRxCollection`, which must be `live`, for a collection with `localDocuments: true`: one
 * of those is ours. RxDB gives an edit into our outbox, and a pull sends it: what the network does is tried again there.
 */
export async function rxDb(collection: RxCollection, o: WireOptions): Promise<Pick<Options, 'pull' | 'push'>> {
  const primary = collection.schema.primaryPath
  const held = (await collection.getLocal('sync'))?.toJSON().data as OwedState | undefined
  const owed = openOwed(held, (state) => collection.upsertLocal('sync', state))
  const wire = await openWire(collection.name, owed, o)
  const news = new Subject<'RESYNC'>()
  // It pulls and pushes at the same time.
  const inTurn = openTurns()

  function fieldsOf(doc?: WithDeleted<Fields>): Doc | undefined {
    const { [primary]: _id, _deleted, _attachments, ...fields } = doc ?? { _deleted: true }
    return _deleted ? undefined : fields
  }
  const docOf = (id: string, doc?: Doc): WithDeleted<Fields> => ({ ...doc, [primary]: id, _deleted: doc === undefined })

  async function localOf({ newDocumentState, assumedMasterState }: Row): Promise<Local> {
    const [id, doc] = [newDocumentState[primary] as string, fieldsOf(newDocumentState)]
    const { _rev, _meta, ...now } = (await collection.storageInstance.findDocumentsById([id], true))[0]!
    const isNow = editOf(doc, fieldsOf(now)) === undefined
    return { id, doc, before: fieldsOf(assumedMasterState), at: _meta.lwt, state: isNow ? _rev : undefined }
  }

  let isFull = false
  async function pull(size: number): ReturnType<Options['pull']['handler']> {
    // It asks again at once, before it has written them.
    if (!isFull) await wire.round()
    const here = await collection.findByIds(owed.docs().map(([id]) => id)).exec()
    // What was edited here meanwhile it leaves out without a word.
    owed.drop((id, doc) => editOf(doc, fieldsOf(here.get(id)?.toMutableJSON())) === undefined)
    const documents = isFull ? [] : owed.docs().map(([id, doc]) => docOf(id, doc))
    isFull = documents.length >= size
    return { documents, checkpoint: { n: owed.n() } }
  }
  async function push(rows: readonly Row[]): Promise<[]> {
    await wire.keep(await Promise.all(rows.map(localOf)))
    news.next('RESYNC')
    return []
  }
  return {
    pull: { handler: (_, size) => inTurn(() => pull(size)), stream$: news },
    push: { handler: (rows) => inTurn(() => push(rows)) },
  }
}
