"""A Jupyter server that believes `X-Forwarded-User` and has no sign-in of its own."""

import os

from jupyter_server.auth.identity import IdentityProvider, User


class Header(IdentityProvider):
    need_token = False

    def get_user(self, handler):
        name = handler.request.headers.get('X-Forwarded-User')
        return User(username=name, name=name) if name else None

    @property
    def auth_enabled(self):
        return True

    def is_token_authenticated(self, handler):
        return False


c = get_config()  # noqa: F821
c.ServerApp.identity_provider_class = Header
c.ServerApp.ip = '127.0.0.1'
c.ServerApp.port = int(os.environ['APP_PORT'])
c.ServerApp.port_retries = 0
c.ServerApp.root_dir = os.environ['APP_FOLDER']
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.allow_remote_access = True
c.ServerApp.allow_origin = os.environ['APP_ORIGIN']
c.ServerApp.disable_check_xsrf = True
