import { API } from "typescript/unstable/sync";
import {
  isBindingElement,
  isClassDeclaration,
  isElementAccessExpression,
  isGetAccessorDeclaration,
  isIdentifier,
  isMethodDeclaration,
  isPropertyAccessExpression,
  isPropertyDeclaration,
  isSetAccessorDeclaration,
  isStringLiteral,
  type ClassDeclaration,
  type Node,
} from "typescript/unstable/ast";

/** A member of a class that others can reach. */
export interface Member {
  readonly file: string;
  readonly owner: string;
  readonly name: string;
}

/** What one source file declares in classes, and which names of members it reads. */
export interface MemberUse {
  readonly declared: readonly Member[];
  readonly read: ReadonlySet<string>;
}

/** Parses the project's files below `folders` (paths below `root`), with TypeScript's own parser. */
export function memberUses(root: string, folders: readonly string[]): Map<string, MemberUse> {
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] }).getProjects()[0];
    const uses = new Map<string, MemberUse>();
    for (const path of project?.program.getSourceFileNames() ?? []) {
      const file = path.slice(root.length + 1);
      const source = folders.some((folder) => file.startsWith(`${folder}/`)) ? project?.program.getSourceFile(path) : undefined;
      if (source !== undefined) uses.set(file, usesOf(file, source));
    }
    return uses;
  } finally {
    api.close();
  }
}

function usesOf(file: string, source: Node): MemberUse {
  const declared: Member[] = [];
  const read = new Set<string>();
  const visit = (node: Node): undefined => {
    if (isClassDeclaration(node)) declared.push(...membersOf(file, node));
    else if (isPropertyAccessExpression(node)) read.add(node.name.text);
    else if (isElementAccessExpression(node) && isStringLiteral(node.argumentExpression)) read.add(node.argumentExpression.text);
    else if (isBindingElement(node)) {
      const name = node.propertyName ?? node.name;
      if (name !== undefined && isIdentifier(name)) read.add(name.text);
    }
    node.forEachChild(visit);
  };
  visit(source);
  return { declared, read };
}

/** Private members (`#x`) are the compiler's to judge, and constructors are called by `new`. */
function membersOf(file: string, owner: ClassDeclaration): Member[] {
  return owner.members.flatMap((member) => {
    const isNamed =
      isMethodDeclaration(member) || isPropertyDeclaration(member) || isGetAccessorDeclaration(member) || isSetAccessorDeclaration(member);
    return isNamed && isIdentifier(member.name) ? [{ file, owner: owner.name?.text ?? "", name: member.name.text }] : [];
  });
}

/** Members whose name no file reads. A name that two classes share counts as read for both: better one too few than a false alarm. */
export function unusedMembers(uses: Iterable<MemberUse>): Member[] {
  const all = [...uses];
  const read = new Set(all.flatMap((use) => [...use.read]));
  return all.flatMap((use) => use.declared).filter(({ name }) => !read.has(name));
}
