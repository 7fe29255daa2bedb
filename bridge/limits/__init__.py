"""Every bound of the bridge, each with its reason (leaf, pure). What an operator may set has its default in `config`.

A bound stands in the file of what it bounds and is read from here, as `limits.NAME`.
"""

from bridge.limits.access import *
from bridge.limits.groups import *
from bridge.limits.http import *
from bridge.limits.live import *
from bridge.limits.log import *
from bridge.limits.process import *
