import type { Case } from '@keelson/kernel/conformance'
import { someCommands } from '../model/commands.ts'
import { playCommands } from '../model/play-commands.ts'
import { storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const COMMANDS = 120

/** Any sequence of commands: the memory store is the model. */
export const modelCases: readonly Case<StoreUnderTest>[] = [
  storeCase('commands by chance are answered as the memory store answers them', async (stage) => {
    await playCommands(someCommands(COMMANDS, stage.random), stage)
  }),
]
