# SPDX-License-Identifier: Apache-2.0
"""Running processes: configuration, the event loop that carries out what engines want, logs and notices.

Always holds: a role's protocol is in its engine; what is here gives it events and carries its effects out.
"""
