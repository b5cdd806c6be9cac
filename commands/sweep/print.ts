export function printFor(..._: unknown[]): void {}
