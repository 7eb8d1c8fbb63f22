# SPDX-License-Identifier: Apache-2.0
"""What vouches for messages before an engine sees them, and protects those that engines send.

Always holds: keys stay in here: they are in no value that an engine, a log or a client of the control socket gets.
"""
