# Two images, without root and without secrets. How they are used, and what has been checked: docs/deployment.md.
#
#   docker build --target api --tag my/sentient-api .
#   docker build --target worker --tag my/sentient-worker .

FROM node:24.21.0-bookworm-slim AS source
WORKDIR /src
RUN npm install --global pnpm@12.21.0
COPY . .

FROM source AS build
RUN pnpm install --frozen-lockfile
RUN pnpm exec turbo run build --filter=@sentient/api --filter=@sentient/worker

# What they need at run time, and nothing else: as the lockfile says, without what tests and builds need.
FROM source AS api-files
RUN pnpm install --frozen-lockfile --prod --filter-prod "@sentient/api..."
FROM source AS worker-files
RUN pnpm install --frozen-lockfile --prod --filter-prod "@sentient/worker..."

FROM node:24.21.0-bookworm-slim AS base
ENV NODE_ENV=production
WORKDIR /data
# A new volume takes over whose the folder is.
RUN chown node:node /data && chmod 700 /data
USER node
VOLUME ["/data"]

FROM base AS api
COPY --from=api-files /src/node_modules /app/node_modules
COPY --from=api-files /src/packages /app/packages
COPY --from=api-files /src/apps/api /app/apps/api
COPY --from=build /src/packages/db-pool/dist /app/packages/db-pool/dist
COPY --from=build /src/packages/schema/dist /app/packages/schema/dist
COPY --from=build /src/packages/event-bus/dist /app/packages/event-bus/dist
COPY --from=build /src/packages/state/dist /app/packages/state/dist
COPY --from=build /src/packages/agent-core/dist /app/packages/agent-core/dist
COPY --from=build /src/apps/api/dist /app/apps/api/dist
# Beyond loopback it wants tokens, TLS or a proxy that has it, and its names: else it refuses to start, and says what is missing.
ENV SENTIENT_API_HOST=0.0.0.0 SENTIENT_API_PORT=4840
EXPOSE 4840
# Its certificate is for its names, and not for the address by which it is asked in here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "const {SENTIENT_API_TLS_KEY:key,SENTIENT_API_PORT:port}=process.env;require(key?'https':'http').get({host:'127.0.0.1',port,path:'/healthz',rejectUnauthorized:false},({statusCode})=>process.exit(statusCode===200?0:1)).on('error',()=>process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/apps/api/dist/main.js"]

FROM base AS worker
COPY --from=worker-files /src/node_modules /app/node_modules
COPY --from=worker-files /src/packages /app/packages
COPY --from=worker-files /src/apps/worker /app/apps/worker
COPY --from=build /src/packages/db-pool/dist /app/packages/db-pool/dist
COPY --from=build /src/packages/schema/dist /app/packages/schema/dist
COPY --from=build /src/packages/event-bus/dist /app/packages/event-bus/dist
COPY --from=build /src/packages/state/dist /app/packages/state/dist
COPY --from=build /src/packages/agent-core/dist /app/packages/agent-core/dist
COPY --from=build /src/apps/worker/dist /app/apps/worker/dist
ENV SENTIENT_WORKER_HEALTH_PORT=9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+process.env.SENTIENT_WORKER_HEALTH_PORT+'/healthz').then(({ok})=>process.exit(ok?0:1),()=>process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/apps/worker/dist/main.js"]
