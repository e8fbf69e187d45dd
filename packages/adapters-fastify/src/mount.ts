import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Answers everything under `prefix` by `serve`, in a context of its own: the stream of a body is left alone. */
export function mount(
  app: FastifyInstance,
  prefix: string,
  serve: (request: FastifyRequest, reply: FastifyReply, target: string) => Promise<void>,
): void {
  const base = prefix.replace(/\/+$/, '')
  const routes = async (scope: FastifyInstance): Promise<void> => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    // As many segments as the prefix has, whatever its parameters are.
    const mounted = new RegExp(`^(?:/[^/?]*){${scope.prefix.split('/').length - 1}}`)
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      await serve(request, reply, request.raw.url!.replace(mounted, ''))
      return reply
    }
    for (const url of base === '' ? ['/*'] : ['', '/*']) {
      scope.route({ method: scope.supportedMethods, url, handler, exposeHeadRoute: false })
    }
  }
  app.register(routes, { prefix: base })
}
