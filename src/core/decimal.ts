/** A number of JSON by its exact decimal value: equal numbers have equal fields, however they are spelled. */
export interface Decimal {
  readonly isNegative: boolean;
  /** Without zeros at either end; "" is zero. */
  readonly digits: string;
  /** Of ten, of the last digit. */
  readonly exponent: number;
}

/** `source` is a number as JSON writes it. */
export function decimalOf(source: string): Decimal {
  const [, sign = "", whole = "", fraction = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const all = `${whole}${fraction}`.replace(/^0+/, "");
  const digits = all.replace(/0+$/, "");
  if (digits === "") return { isNegative: false, digits, exponent: 0 };
  return { isNegative: sign !== "", digits, exponent: Number(power) - fraction.length + (all.length - digits.length) };
}
