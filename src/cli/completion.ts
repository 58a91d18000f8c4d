import { Argument, Command, type Option } from "commander";
import { EXIT_DONE } from "./program.ts";
import { FORMATS } from "./api/list-flags.ts";
import { tellWhole } from "./terminal.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

const EXAMPLES = `
Examples:
  # bash: for this shell, and for all later ones
  source <(postrider completion bash)
  postrider completion bash >> ~/.bash_completion

  # zsh, in ~/.zshrc
  source <(postrider completion zsh)

  # fish
  postrider completion fish > ~/.config/fish/completions/postrider.fish

Names of subscriptions come from the API, where POSTRIDER_SERVER,
POSTRIDER_TOKEN and POSTRIDER_NAMESPACE, or the flags given so far, allow it.
Exit code: ${EXIT_DONE} done, 2 wrong usage.`;

/** `postrider completion`: a script for a shell, made of the commands themselves. */
export function completionCommand(all: () => Promise<readonly Command[]>): Command {
  return new Command("completion")
    .description("print a script that completes commands, flags and names in a shell")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action(async (shell: Shell) => {
      const words = (await all()).map(wordsOf);
      tellWhole(shell === "fish" ? fishScript(words) : `${shell === "zsh" ? ZSH_HEAD : ""}${bashScript(words)}`);
    });
}

interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly children: readonly string[];
  readonly flags: readonly {
    readonly long: string;
    readonly short: string | undefined;
    readonly takesValue: boolean;
    readonly description: string;
  }[];
}

function wordsOf(command: Command): CommandWords {
  return {
    name: command.name(),
    description: command.description(),
    children: command.commands.map((child) => child.name()),
    flags: [...command.options, ...command.commands.flatMap(({ options }) => options)].flatMap((option) => flagOf(option)),
  };
}

function flagOf({ long, short, required, optional, description }: Option): CommandWords["flags"] {
  return long === undefined || long === null ? [] : [{ long, short: short ?? undefined, takesValue: required || optional, description }];
}

/** Commands whose argument is the name of a subscription. */
const NAMED = "status|test|pause|resume|subscriptions";
const STATES = "pending ready claimed delivered failed discarded";

const ZSH_HEAD = "autoload -U +X bashcompinit && bashcompinit\n";

/** Bash has no descriptions. What is not known here is left to the shell, which completes files. */
function bashScript(commands: readonly CommandWords[]): string {
  const cases = commands.map(({ name, children, flags }) => {
    const words = [...children, ...flags.map(({ long }) => long), "--help"];
    return `    ${name}) words="${[...new Set(words)].join(" ")}" ;;`;
  });
  return `# postrider completion: made by 'postrider completion'
_postrider_subscriptions() {
  local args=() at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "\${COMP_WORDS[at]}" in
      -n|--namespace|--server|--token-file|--ca-file) args+=("\${COMP_WORDS[at]}" "\${COMP_WORDS[at + 1]}") ;;
    esac
  done
  postrider subscriptions "\${args[@]}" --timeout 2s -o name 2>/dev/null </dev/null | sed 's,^subscription/,,'
}

_postrider() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}" command="\${COMP_WORDS[1]}" words=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} help --help --version" -- "$cur"))
    return
  fi
  case "$command" in
${cases.join("\n")}
    help) words="${commands.map(({ name }) => name).join(" ")}" ;;
    completion) words="${SHELLS.join(" ")}" ;;
  esac
  case "$prev" in
    -o|--output)
      case "$command" in
        subscriptions|deliveries|attempts|events|tail) words="${FORMATS.join(" ")}" ;;
        *) words="text json" ;;
      esac ;;
    --color) words="auto always never" ;;
    --state) words="${STATES}" ;;
    --matched) words="true false" ;;
    -s|--subscription) words="$(_postrider_subscriptions)" ;;
    *)
      case "$command" in
        ${NAMED}) if [[ "$cur" != -* ]]; then words="$(_postrider_subscriptions)"; fi ;;
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _postrider postrider
`;
}

function fishScript(commands: readonly CommandWords[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = ["# postrider completion: made by 'postrider completion'", "complete -c postrider -n __fish_use_subcommand -f"];
  for (const { name, description, children, flags } of commands) {
    lines.push(`complete -c postrider -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`);
    const within = `-n '__fish_seen_subcommand_from ${name}'`;
    for (const child of children) lines.push(`complete -c postrider ${within} -f -a ${child}`);
    for (const { long, short, takesValue, description: text } of flags) {
      const letter = short === undefined ? "" : ` -s ${short.slice(1)}`;
      lines.push(`complete -c postrider ${within}${letter} -l ${long.slice(2)}${takesValue ? " -r" : ""} -d ${quoted(text)}`);
    }
  }
  const named = `-n '__fish_seen_subcommand_from ${NAMED.replaceAll("|", " ")}'`;
  lines.push(
    `complete -c postrider ${named} -f -a '(postrider subscriptions --timeout 2s -o name 2>/dev/null </dev/null | string replace subscription/ "")'`,
  );
  return `${lines.join("\n")}\n`;
}
