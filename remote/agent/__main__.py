"""The agent's program. On a box this file lies at the top of the pushed folder, which is run as a whole."""

import sys

from remote.agent.main import main

sys.exit(main(sys.argv[1:]))
