"""Fixtures of the supports that the lab's tests on real daemons use."""

from lab.tests.support.apihttp import http as http
from lab.tests.support.cni import cni_lab as cni_lab
from lab.tests.support.labs import labs as labs
from tests.support.toolchain import toolchain as toolchain
