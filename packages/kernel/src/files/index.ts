export { diskFiles, freshFile, readAll, readFile, replaceFile, writeAll, type File, type Files } from './files.ts'
export { lockFolder } from './lock-folder.ts'
