"""Logins: methods, users with sealed passwords, roles, and the limit on attempts."""
