import type { EgressPolicy, Policy, PolicyLimits } from "./policy.ts";
import type { Reason } from "./reasons.ts";
import type { SigningScheme } from "./signing/scheme-registry.ts";
import type { SigningKey, SigningStyle } from "./signing/style.ts";

/**
 * What a WebhookSubscription's spec says, decoded from the custom resource, references unresolved. Held by the controller and kept
 * in the store as "last accepted" (plain JSON, no secret values).
 */
export interface SubscriptionSpec {
  readonly className: string;
  readonly suspend: boolean;
  readonly types: readonly string[];
  /** CEL source of the filter. */
  readonly filter: string | undefined;
  readonly endpoint: EndpointSpec;
  readonly payload: PayloadSpec;
  readonly signing: SigningSpec;
  readonly policyName: string | undefined;
  readonly history: {
    readonly captureResponse: boolean;
    /** Whoever may publish sees what the receiver answered. */
    readonly answerInResults: boolean;
    readonly recordIdField: string | undefined;
  };
  readonly deletionPolicy: "Drain" | "Discard";
  /** Order per key: `subject`, or a path into the event such as `data.id`. Absent = no order. */
  readonly ordering?: { readonly key: string } | undefined;
  /** Where deliveries go that have failed for good. Absent = they stay in the store. */
  readonly deadLetter?: EndpointSpec | undefined;
  /** Nothing is sent until the receiver has allowed it. Absent = no handshake. */
  readonly verification?: "CloudEventsHandshake" | undefined;
}

/** A key of a Secret in the subscription's own namespace. */
export interface SecretKeyRef {
  readonly name: string;
  readonly key: string;
}

export interface EndpointSpec {
  readonly address:
    | { readonly kind: "url"; readonly url: string }
    | { readonly kind: "urlSecretRef"; readonly ref: SecretKeyRef }
    | ({ readonly kind: "serviceRef" } & ServiceRef);
  readonly headers: readonly { readonly name: string; readonly value: string | SecretKeyRef }[];
  readonly auth: AuthSpec | undefined;
  readonly tls?: TlsSpec | undefined;
}

/** A Service of the subscription's own namespace, dialled at its ClusterIP. */
export interface ServiceRef {
  readonly name: string;
  readonly port: number;
  readonly path: string;
  readonly scheme: "http" | "https";
}

/** TLS towards a receiver, references unresolved. */
export interface TlsSpec {
  readonly caRef: { readonly kind: "ConfigMap" | "Secret"; readonly name: string; readonly key: string } | undefined;
  readonly clientCertSecretName: string | undefined;
  readonly serverName: string | undefined;
  readonly minVersion: "TLS12" | "TLS13";
}

export type AuthSpec =
  | { readonly kind: "bearer"; readonly ref: SecretKeyRef }
  | { readonly kind: "basic"; readonly username: string | SecretKeyRef; readonly passwordRef: SecretKeyRef }
  | {
      readonly kind: "oauth2";
      readonly tokenUrl: string;
      readonly clientIdRef: SecretKeyRef;
      readonly clientSecretRef: SecretKeyRef;
      readonly scopes: readonly string[];
      readonly audience: string | undefined;
    }
  | {
      readonly kind: "serviceAccount";
      readonly serviceAccountName: string;
      readonly audience: string;
      readonly expirationSeconds: number;
    };

export type PayloadFormat = "StandardWebhooks" | "CloudEventsStructured" | "CloudEventsBinary" | "Form" | "Raw";

export interface PayloadSpec {
  readonly format: PayloadFormat;
  readonly formParameter: string;
  /** CEL source that gives the JSON body. */
  readonly body: string | undefined;
}

export interface SigningSpec extends SigningStyle {
  readonly scheme: SigningScheme;
  /** Empty = a Secret `<subscription>-signing` is generated. */
  readonly secretRefs: readonly SecretKeyRef[];
  /** What happens to the generated Secret once the subscription is deleted and drained. Rows of version 0.1 lack it: Retain. */
  readonly secretDeletionPolicy?: "Retain" | "Delete";
}

/** Names one subscription for people and for metrics. */
export interface SubscriptionName {
  readonly namespace: string;
  readonly name: string;
}

/**
 * A subscription in the routing table: accepted, policy resolved, references resolved as far as they could be. Immutable; a change
 * makes a new one. `uid` names its queue in the store.
 */
export interface Subscription extends SubscriptionName {
  readonly uid: string;
  readonly generation: number;
  readonly spec: SubscriptionSpec;
  readonly policy: Policy;
  readonly egress: EgressPolicy;
  /** `limits.fanOut` of the cluster policy; undefined = the built-in one. An event that matches more subscriptions is refused. */
  readonly fanOutMax?: number;
  /** What of the cluster policy's limits holds for tests as well; absent = nothing. */
  readonly ceilings?: Pick<PolicyLimits, "rateLimit" | "maxInFlight">;
  /** Why nothing may be sent now although events match (a reference does not resolve): deliveries wait, never unsigned. */
  readonly blocked: Blocked | undefined;
  /** Resolved values; undefined exactly while `blocked` is set. */
  readonly target: Target | undefined;
}

export interface Blocked {
  readonly reason: Reason;
  readonly message: string;
}

/**
 * Everything an attempt needs beside the event, of one endpoint. Holds secrets: never logged, never stored, never put in a status.
 * Immutable; another value of any part makes a new one.
 */
export interface Target {
  readonly url: string;
  /** The URL stands in a Secret: its path is as secret as its query, and never shown. */
  readonly urlIsSecret?: true | undefined;
  /** Extra headers with their values, in the order given; names as written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  /** Listed first signs first; empty for scheme None. */
  readonly keys: readonly SigningKey[];
  /** A credential whose value is fetched and renewed while it is used; then `authorization` is undefined. */
  readonly credential?: Credential | undefined;
  /** Dialled instead of the URL's host: the ClusterIP of a Service, already allowed. */
  readonly dial?: { readonly address: string; readonly port: number } | undefined;
  readonly tls?: TargetTls | undefined;
  /** The egress proxy that the cluster policy prescribes. */
  readonly proxy?: { readonly url: string; readonly authorization: string | undefined } | undefined;
  /** Where deliveries go that failed for good. */
  readonly deadLetter?: Target | undefined;
}

/** What is exchanged for a bearer token. Holds secrets. */
export type Credential =
  | {
      readonly kind: "oauth2";
      readonly tokenUrl: string;
      readonly clientId: string;
      readonly clientSecret: string;
      readonly scopes: readonly string[];
      readonly audience: string | undefined;
    }
  | {
      readonly kind: "serviceAccount";
      readonly namespace: string;
      readonly serviceAccountName: string;
      readonly audience: string;
      readonly expirationSeconds: number;
    };

/** TLS towards a receiver, resolved. PEM text. */
export interface TargetTls {
  readonly ca: string | undefined;
  readonly clientCert: { readonly cert: string; readonly key: string } | undefined;
  readonly serverName: string | undefined;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
}
