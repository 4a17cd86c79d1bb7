"""The dialogs: every change passes through one, with Cancel focused. They ask and report; the work is done in `tui.core`."""
