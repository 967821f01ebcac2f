"""Takes as long to import as what flows need, so that a process does not stand by at once."""

import time

time.sleep(1.5)
