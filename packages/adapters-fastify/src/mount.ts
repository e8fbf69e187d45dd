import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Answers everything under `prefix` by `serve`, in a context of its own: the stream of a body is left alone. */
export function mount(
  app: FastifyInstance,
  prefix: string,
  serve: (request: FastifyRequest, reply: FastifyReply, target: string) => Promise<void>,
): void {
  const routes = async (scope: FastifyInstance): Promise<void> => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    const place = withoutSlash(scope.prefix)
    // As many segments as the prefix has, whatever its parameters are.
    const mounted = new RegExp(`^(?:/[^/?]*){${place.split('/').length - 1}}`)
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      await serve(request, reply, request.raw.url!.replace(mounted, ''))
      return reply
    }
    for (const url of place === '' ? ['/*'] : ['', '/*']) {
      scope.route({ method: scope.supportedMethods, url, handler, exposeHeadRoute: false })
    }
  }
  app.register(routes, { prefix: withoutSlash(prefix) })
}

function withoutSlash(prefix: string): string {
  return prefix.replace(/\/+$/, '')
}
