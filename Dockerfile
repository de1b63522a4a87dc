# The image of deployctl. PostgreSQL and Redis are separate services (docker-compose.yml).
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY . .
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable .

FROM python:3.13-slim
# The Python packages include pg_dump, psql and the other client programs, in a version for every supported server.
RUN useradd --system --uid 10001 --create-home deployctl \
    && install --directory --owner deployctl --group deployctl --mode 0700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=deployctl.settings \
    DEPLOYCTL_DATA=/data
WORKDIR /app
USER deployctl
VOLUME /data
EXPOSE 8000
# docker-compose.yml overrides this per service.
CMD ["uvicorn", "deployctl.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", \
     "--no-server-header", "--timeout-graceful-shutdown", "5"]
