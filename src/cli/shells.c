/* What completions for bash and zsh have around the lists of completion.c: from the words of a line to what kind of
 * word comes next. */
#include "config.h"

#include "cli/cli.h"

static const char bash_start[] =
    "# Completion of wabun for bash, made by `wabun help --completion bash`.\n"
    "_wabun () {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd= at=0 kind=any i\n"
    "  local options= dirs= others= names=\n";
static const char bash_walk[] = "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                                "    if [[ ${COMP_WORDS[i]} != -* ]]; then cmd=${COMP_WORDS[i]} at=$i; break; fi\n"
                                "  done\n";
static const char bash_end[] =
    "  esac\n"
    "  if [[ $cmd == help ]]; then kind=commands\n"
    "  elif [[ -z $cmd ]]; then kind=start\n"
    "  elif [[ $prev == --set && \" $options \" == *' --set '* ]]; then kind=keys\n"
    "  elif [[ \" $dirs \" == *\" $prev \"* ]]; then kind=dirs\n"
    "  elif [[ \" $others \" == *\" $prev \"* ]]; then kind=none\n"
    "  elif [[ $cur == -* ]]; then kind=options\n"
    "  elif [[ -n $names && $((at + 1)) -eq $COMP_CWORD ]]; then kind=words; fi\n"
    "  COMPREPLY=()\n"
    "  case $kind in\n"
    "    start) COMPREPLY=($(compgen -W \"$commands help version --help --version\" -- \"$cur\")) ;;\n"
    "    commands) COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\")) ;;\n"
    "    options) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
    "    words) COMPREPLY=($(compgen -W \"$names\" -- \"$cur\")) ;;\n"
    "    keys) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -S = -W \"$keys\" -- \"$cur\")) ;;\n"
    "    dirs) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "    any) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "  esac\n"
    "}\n"
    "complete -F _wabun wabun\n";

static const char zsh_start[] = "#compdef wabun\n"
                                "# Completion of wabun for zsh, made by `wabun help --completion zsh`.\n"
                                "_wabun () {\n"
                                "  local cur=$words[CURRENT] prev=$words[CURRENT-1] cmd= at=0 kind=any i\n"
                                "  local options= dirs= others= names=\n";
static const char zsh_walk[] = "  for ((i = 2; i < CURRENT; i++)); do\n"
                               "    if [[ $words[i] != -* ]]; then cmd=$words[i] at=$i; break; fi\n"
                               "  done\n";
static const char zsh_end[] = "  esac\n"
                              "  if [[ $cmd == help ]]; then kind=commands\n"
                              "  elif [[ -z $cmd ]]; then kind=start\n"
                              "  elif [[ $prev == --set && \" $options \" == *' --set '* ]]; then kind=keys\n"
                              "  elif [[ \" $dirs \" == *\" $prev \"* ]]; then kind=dirs\n"
                              "  elif [[ \" $others \" == *\" $prev \"* ]]; then kind=none\n"
                              "  elif [[ $cur == -* ]]; then kind=options\n"
                              "  elif [[ -n $names && $((at + 1)) -eq $CURRENT ]]; then kind=names; fi\n"
                              "  case $kind in\n"
                              "    start) compadd -- ${=commands} help version --help --version ;;\n"
                              "    commands) compadd -- ${=commands} ;;\n"
                              "    options) compadd -- ${=options} ;;\n"
                              "    names) compadd -- ${=names} ;;\n"
                              "    keys) compadd -S = -- ${=keys} ;;\n"
                              "    dirs) _files -/ ;;\n"
                              "    any) _files ;;\n"
                              "  esac\n"
                              "}\n"
                              "_wabun \"$@\"\n";

const wb_shell_t wb_shells[] = {{"bash", bash_start, bash_walk, bash_end}, {"zsh", zsh_start, zsh_walk, zsh_end}, {0}};
