"""Checks in front of the routes: authentication before a body is read, limits of bodies, headers of every answer."""
