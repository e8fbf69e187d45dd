import type { Case } from '../../src/case.ts'
import { weight } from '../../src/weight.ts'

const CLIENT = '@keelson/sync/client'

/** What a page grows by. */
export function weights(): Case[] {
  const inBrowser = (name: string, ...specifiers: string[]) => weight(name, specifiers, [], 'browser')
  return [
    {
      name: 'size of a client',
      note: 'what it needs to keep records, and to exchange them with a server',
      exact: true,
      contenders: [
        inBrowser(CLIENT, CLIENT),
        inBrowser(`${CLIENT}, /indexeddb`, CLIENT, `${CLIENT}/indexeddb`),
        inBrowser(
          'rxdb 17.6.0, storage-dexie',
          'rxdb/plugins/core',
          'rxdb/plugins/replication',
          'rxdb/plugins/storage-dexie',
        ),
        weight('pouchdb-browser 9.0.0, without its package events', 'pouchdb-browser', ['events'], 'browser'),
        inBrowser('tinybase 10.0.1', 'tinybase/mergeable-store', 'tinybase/synchronizers'),
        inBrowser('yjs 13.6.33', 'yjs'),
        inBrowser(
          '@automerge/automerge 3.5.0, its WebAssembly in base64',
          '@automerge/automerge/slim',
          '@automerge/automerge/automerge.wasm.base64',
        ),
        inBrowser('replicache 15.3.0', 'replicache'),
      ],
      targets: [{ of: CLIENT, figure: 'gzip kB', atMost: 6 }],
    },
  ]
}
