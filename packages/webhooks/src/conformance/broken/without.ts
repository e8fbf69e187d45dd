/** A copy without these members. */
export function without<T extends object>(of: T, ...names: (keyof T)[]): T {
  return Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name as keyof T))) as T
}
