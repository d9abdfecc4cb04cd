# vLLM's own router, for many replicas behind one address: docker build -f deploy/vllm-router.Dockerfile deploy
FROM python:3.11-slim-bookworm
RUN pip install --no-cache-dir --disable-pip-version-check vllm-router==0.1.17 \
 && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin router
USER 10001:10001
EXPOSE 8090
ENTRYPOINT ["vllm-router", "--host", "0.0.0.0", "--port", "8090"]
