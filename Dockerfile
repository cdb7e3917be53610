# The service: docker build -t speciale . ; docker run --rm -p 8000:8000 speciale --help
# Stage 1 fetches the web page's libraries, stage 2 builds the wheel, stage 3 runs it.
FROM node:22-slim AS page
WORKDIR /page
COPY src/speciale/serve/page/package.json src/speciale/serve/page/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src/speciale/serve/page/vendor.mjs ./
RUN node vendor.mjs node_modules

FROM python:3.12-slim AS wheel
WORKDIR /source
RUN pip install --no-cache-dir build
COPY . .
COPY --from=page /page/vendor src/speciale/serve/page/vendor
RUN python -m build --outdir /dist

FROM python:3.12-slim
COPY --from=wheel /dist/*.whl /source/constraints.txt /tmp/
RUN pip install --no-cache-dir -c /tmp/constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu \
        "$(ls /tmp/*.whl)[serve,postgres,otel]" \
    && rm /tmp/*.whl /tmp/constraints.txt \
    && useradd --create-home --uid 10001 speciale
USER speciale
WORKDIR /home/speciale
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=60s CMD \
    python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"
ENTRYPOINT ["speciale", "serve", "--host", "0.0.0.0"]
