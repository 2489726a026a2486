# One image for every role: web, worker, beat and the one-shot migration. compose.yaml shows each.
FROM python:3.13.9-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /venv
WORKDIR /app
# Before the code: the packages are then built again only when their list changes.
COPY requirements.txt .
RUN /venv/bin/pip install --only-binary :all: --require-hashes -r requirements.txt
COPY . .
# Settings want a production that is complete. Nothing is signed or sent in this step, and none of it is in the image.
RUN PRODUCTION=1 SECRET_KEY=$(head -c 64 /dev/urandom | base64 -w 0) PSEUDONYM_KEY=$(head -c 64 /dev/urandom | base64 -w 0) \
    ALLOWED_HOSTS=build.invalid PAYMENT_PROVIDER=none EMAIL_HOST=build.invalid DEFAULT_FROM_EMAIL=build@build.invalid \
    DATABASE_URL=postgres://build.invalid/ REDIS_URL=redis://build.invalid TRUSTED_PROXIES=1 \
    /venv/bin/python manage.py collectstatic --noinput

FROM python:3.13.9-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PRODUCTION=1
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin dropfront
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
# Where pictures lie without a bucket: a volume, which begins as what stands here.
RUN mkdir /pictures && chown dropfront /pictures
USER dropfront
EXPOSE 8000
# /healthz touches nothing but the process: a database that is away for a minute must not get web processes killed.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python", "-m", "dropfront.server", "--host", "0.0.0.0", "--port", "8000"]
