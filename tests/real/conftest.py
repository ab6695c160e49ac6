"""Fixtures of tests/support that the tests on real daemons use."""

from tests.support.addressed import addressed as addressed
from tests.support.ovsdb import ovsdb as ovsdb
from tests.support.realised import cluster as cluster
from tests.support.toolchain import toolchain as toolchain
from tests.support.whole import api as api
from tests.support.whole import whole as whole
from tests.support.zones import wire as wire
