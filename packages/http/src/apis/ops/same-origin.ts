/**
 * Whether a page of ours sent this: browsers say where a form was, and no page can make them lie. Whatever says nothing
 * is no browser of today, and has no business with a form.
 */
export function isSameOrigin(request: Request): boolean {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin'
  // Over plain http to another machine browsers tell the origin alone.
  const origin = request.headers.get('origin')
  const host = request.headers.get('host') ?? new URL(request.url).host
  return origin !== null && URL.canParse(origin) && new URL(origin).host === host
}
