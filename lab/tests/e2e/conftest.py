"""Fixtures of the supports that the tests of whole labs use."""

from lab.tests.support.labs import labs as labs
from lab.tests.support.pods import pod_lab as pod_lab
from lab.tests.support.policylab import policy_lab as policy_lab
from tests.support.toolchain import toolchain as toolchain
