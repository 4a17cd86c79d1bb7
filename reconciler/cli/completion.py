"""`completion`: the script that makes a shell complete commands, options and the names that a home has.

The scripts are short and ask `lineclear __complete` for every candidate, so that what can be typed is said in one place.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser

_BASH = """\
# lineclear completion for bash; put `source <(lineclear completion bash)` into ~/.bashrc
_lineclear() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ":files" ]]; then
      compopt -o default 2>/dev/null
      COMPREPLY=()
      return
    fi
    COMPREPLY+=("${line%%$'\\t'*}")
  done < <(lineclear __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _lineclear lineclear
"""
_ZSH = """\
#compdef lineclear
# lineclear completion for zsh; put `source <(lineclear completion zsh)` into ~/.zshrc, after compinit
_lineclear() {
  local -a found
  local line
  for line in "${(@f)$(lineclear __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == ":files" ]]; then
      _files
      return
    fi
    [[ -n $line ]] && found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
  done
  _describe 'lineclear' found
}
compdef _lineclear lineclear
"""
_FISH = """\
# lineclear completion for fish; put `lineclear completion fish | source` into ~/.config/fish/config.fish
function __lineclear_candidates
    set -l typed (commandline -opc) (commandline -ct)
    for line in (lineclear __complete $typed[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c lineclear -f -k -a '(__lineclear_candidates)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def configure(parser: Parser) -> None:
    """Adds the options of `completion`."""
    parser.positional("SHELL", "1", "which shell", tuple(_SCRIPTS))
    parser.note(
        "bash   source <(lineclear completion bash)\n"
        "zsh    source <(lineclear completion zsh)      after compinit\n"
        "fish   lineclear completion fish | source"
    )


def run(args: Args) -> int:
    """Prints the script; 0."""
    sys.stdout.write(_SCRIPTS[args.text("SHELL")])
    return 0
