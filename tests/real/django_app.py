"""Django's own admin pages behind Django's own RemoteUserMiddleware: python django_app.py PORT FOLDER.

Whoever the header names is let in as staff; a login that is not named falls out (302 to Django's own
sign-in page). `/whoami` says who Django holds the visitor to be.
"""

import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    STATIC_URL="/static/",
    USE_X_FORWARDED_HOST=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    CSRF_TRUSTED_ORIGINS=os.environ.get("APP_ORIGINS", "https://localhost").split(),
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(FOLDER, "django.sqlite3"),
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        __name__ + ".ForwardedUser",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    AUTHENTICATION_BACKENDS=[__name__ + ".Staff"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
sys.modules.setdefault("django_app", sys.modules[__name__])
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.backends import RemoteUserBackend  # noqa: E402
from django.contrib.auth.middleware import RemoteUserMiddleware  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class ForwardedUser(RemoteUserMiddleware):
    header = "HTTP_X_FORWARDED_USER"


class Staff(RemoteUserBackend):
    def configure_user(self, request, user, created=True):
        user.is_staff = True
        user.save()
        return user


def whoami(request):
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "secure": request.is_secure(),
            "host": request.get_host(),
            "header": request.META.get(ForwardedUser.header),
            "cookies": sorted(request.COOKIES),
        }
    )


urlpatterns = [path("admin/", admin.site.urls), path("whoami", whoami)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    application = StaticFilesHandler(get_wsgi_application())
    make_server("127.0.0.1", PORT, application, handler_class=Quiet).serve_forever()
