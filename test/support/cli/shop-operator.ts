import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RecordingReceiver } from "../fields/recording-receiver.ts";
import { secret, manifestFile } from "../manifests.ts";
import { OperatorProcess } from "../operator/operator-process.ts";

/** Of whoever may ask the API about namespace shop. */
export const SHOP_TOKEN = "a-token-of-the-api-of-shop";

/** The real binary with a receiver and a folder of its own, for commands that ask its API. */
export class ShopOperator {
  readonly directory: string;
  readonly receiver: RecordingReceiver;
  readonly operator: OperatorProcess;

  private constructor(directory: string, receiver: RecordingReceiver, operator: OperatorProcess) {
    this.directory = directory;
    this.receiver = receiver;
    this.operator = operator;
  }

  /** `manifests` get the address of the receiver; the Secret with the token is added. */
  static async start(manifests: (receiver: string) => string): Promise<ShopOperator> {
    const directory = mkdtempSync(join(tmpdir(), "postrider-shop-"));
    const receiver = await RecordingReceiver.start();
    mkdirSync(join(directory, "manifests"));
    const all = manifestFile(manifests(receiver.url), secret("shop", "api", "api-token", { support: SHOP_TOKEN }));
    writeFileSync(join(directory, "manifests", "all.yaml"), all);
    writeFileSync(join(directory, "token"), `${SHOP_TOKEN}\n`);
    const operator = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      auth: ["--ingest-auth", "none", "--api-auth", "static"],
    });
    return new ShopOperator(directory, receiver, operator);
  }

  async stop(): Promise<void> {
    await this.operator.signal("SIGKILL");
    await this.receiver.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
