import { createCipheriv, hash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DELIVERY_NAME_KEY_BYTES, DeliveryNames } from "../../../src/core/delivery-name.ts";

const KEY = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const names = new DeliveryNames(KEY);
const ids = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const spaces = fc.constantFrom("shop", "depot", "a", "b".repeat(63));

describe("names of deliveries", () => {
  it("are one block of AES-128 over the number and a mark of the namespace", () => {
    const block = Buffer.alloc(16);
    block.writeBigUInt64BE(4_711n);
    block.set(hash("sha256", "delivery shop", "buffer").subarray(0, 8), 8);
    const cipher = createCipheriv("aes-128-ecb", KEY, null).setAutoPadding(false);
    expect(names.nameOf("shop", 4_711)).toBe(Buffer.concat([cipher.update(block), cipher.final()]).toString("hex"));
  });

  it("lead back to their number in their namespace, and stay the same", () => {
    fc.assert(
      fc.property(ids, spaces, (id, space) => {
        const name = names.nameOf(space, id);
        expect(name).toMatch(/^[0-9a-f]{32}$/);
        expect(names.idOf(space, name)).toBe(id);
        expect(new DeliveryNames(KEY).nameOf(space, id)).toBe(name);
        expect(names.beforeIdOf(space, names.cursorOf(space, id))).toBe(id);
      }),
    );
  });

  it("are nothing in another namespace, under another key, and as a cursor", () => {
    const other = new DeliveryNames(Buffer.alloc(DELIVERY_NAME_KEY_BYTES, 1));
    fc.assert(
      fc.property(ids, spaces, spaces, (id, space, elsewhere) => {
        const name = names.nameOf(space, id);
        if (space !== elsewhere) expect(names.idOf(elsewhere, name)).toBeUndefined();
        expect(other.idOf(space, name)).toBeUndefined();
        expect(names.beforeIdOf(space, name)).toBeUndefined();
        expect(names.idOf(space, names.cursorOf(space, id))).toBeUndefined();
      }),
    );
  });

  it("cannot be made up: no change of a good one is one, nor is anything else", () => {
    const good = names.nameOf("shop", 17);
    for (let at = 0; at < good.length; at++) {
      for (const digit of "0123456789abcdef") {
        const changed = good.slice(0, at) + digit + good.slice(at + 1);
        if (changed !== good) expect(names.idOf("shop", changed)).toBeUndefined();
      }
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (bytes) => names.idOf("shop", Buffer.from(bytes).toString("hex")) === undefined,
      ),
    );
    for (const text of ["", "17", "0x11", good.toUpperCase(), ` ${good}`, `${good}0`, good.slice(1), `0${good}`]) {
      expect(names.idOf("shop", text), text).toBeUndefined();
    }
  });

  it("tell neither order nor distance: half of the bits differ between neighbours", () => {
    const bits = (a: string, b: string): number => (BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(2).replaceAll("0", "").length;
    const list = Array.from({ length: 2_001 }, (_, id) => names.nameOf("shop", id));
    const distances = list.slice(1).map((name, i) => bits(name, list[i] ?? ""));
    expect(Math.min(...distances)).toBeGreaterThan(32);
    expect(distances.reduce((sum, one) => sum + one, 0) / distances.length).toBeCloseTo(64, 0);
    const rising = list.slice(1).filter((name, i) => name > (list[i] ?? "")).length;
    expect(rising / 2_000).toBeGreaterThan(0.4);
    expect(rising / 2_000).toBeLessThan(0.6);
    expect(new Set(list).size).toBe(2_001);
  });

  it("are right for ever more namespaces than are remembered", () => {
    const name = names.nameOf("shop", 1);
    for (let i = 0; i < 10_000; i++) expect(names.idOf(`n${i}`, name)).toBeUndefined();
    expect(names.idOf("shop", name)).toBe(1);
  });
});
