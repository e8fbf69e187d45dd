import type { Case } from '@keelson/kernel/conformance'
import { anyCommands } from '../replicas/commands.ts'
import { playCommands } from '../replicas/play-commands.ts'
import { onStage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

export const replicaCases: readonly Case<StoreUnderTest>[] = [
  onStage('whatever happens, devices end with what lives in their scopes', async (stage) => {
    for (let round = 0; round < 5; round++) {
      await playCommands({ ...stage, scope: `${stage.scope}/${round}` }, anyCommands(stage.random, 60))
    }
  }),
]
