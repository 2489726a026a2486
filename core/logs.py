"""Structured logs: one line per event with its facts and the request's id; JSON in production, aligned text elsewhere."""

from __future__ import annotations

import logging.config

import structlog
from structlog.typing import Processor


def configure(*, json: bool, level: str) -> None:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, colors=False)
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    final: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        final.append(structlog.processors.format_exc_info)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [*final, renderer],
                    "foreign_pre_chain": shared,
                }
            },
            # uvicorn tells of every socket that opens and closes; a crowd has thousands.
            "filters": {"no_socket_lines": {"()": lambda: _is_not_about_a_socket}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
                "celery": {"level": "WARNING"},
                "kombu": {"level": "WARNING"},
                "httpx": {"level": "WARNING"},
                "uvicorn.error": {"filters": ["no_socket_lines"]},
            },
        }
    )


def _is_not_about_a_socket(record: logging.LogRecord) -> bool:
    return "WebSocket" not in record.msg and not record.msg.startswith("connection ")
