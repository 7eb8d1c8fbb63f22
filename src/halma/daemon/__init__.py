# SPDX-License-Identifier: Apache-2.0
"""Running processes: configuration, the event loop that carries out what engines want, logs and notices."""
