// Generated from crds/ by `npm run generate`; do not edit.
// Fields with a schema default are not optional: these are the objects as the API server returns them.

/** The part of metav1.ObjectMeta that Postrider reads. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}

/** A WebhookSubscription delivers the events of its namespace that match to one receiver, as signed HTTP requests. */
export interface WebhookSubscription {
  readonly apiVersion: "postrider.dev/v1alpha1";
  readonly kind: "WebhookSubscription";
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: WebhookSubscriptionSpec;
  readonly status?: WebhookSubscriptionStatus;
}

/** What is delivered, where to, and how. */
export interface WebhookSubscriptionSpec {
  /** The Postrider installation that serves this subscription. Changed, the one before delivers what it has accepted; the signing key stays. */
  readonly className: string;
  /** While true nothing is sent: deliveries wait until their maxAge. */
  readonly suspend: boolean;
  /** Which events are delivered. */
  readonly events: {
    /** Event types: exact ("order.paid"), or a prefix ("order.*", "*"). An event that matches several is delivered once. */
    readonly types: readonly string[];
    /** A CEL expression that must be true, for example event.data.size > 1000. An absent field makes it false. */
    readonly filter?: string;
  };
  /** The receiver. */
  readonly endpoint: {
    /** URL that each delivery is POSTed to. The ClusterDeliveryPolicy that applies decides where it may lead. */
    readonly url?: string;
    /** A key of a Secret that holds the URL, for URLs that are secrets themselves. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
    readonly urlSecretRef?: {
      /** Name of the Secret. */
      readonly name: string;
      /** Key within the Secret's data. */
      readonly key: string;
    };
    /** A Service of this namespace, dialled at its ClusterIP. ExternalName and headless Services are refused, and those without a selector unless egress.services of the ClusterDeliveryPolicy allows them. */
    readonly serviceRef?: {
      /** Name of the Service. */
      readonly name: string;
      /** Port of the Service. */
      readonly port: number;
      /** Path and query of the request. */
      readonly path: string;
      /** HTTP, or HTTPS with the certificate checked against the Service's DNS name. */
      readonly scheme: "HTTP" | "HTTPS";
    };
    /** Extra request headers. */
    readonly headers?: readonly {
      /** Name of the header; upper and lower case are equal. */
      readonly name: string;
      /** Value of the header, sent as it is. */
      readonly value?: string;
      /** Where the value comes from. */
      readonly valueFrom?: {
        /** A key of a Secret that holds the value. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly secretKeyRef: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
      };
    }[];
    /** How Postrider authenticates to the receiver: exactly one way. */
    readonly auth?: {
      /** A fixed bearer token. */
      readonly bearer?: {
        /** A key of a Secret that holds the token. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly secretRef: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
      };
      /** HTTP basic authentication. */
      readonly basic?: {
        /** The user name. */
        readonly username?: string;
        /** A key of a Secret that holds the user name. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly usernameSecretRef?: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
        /** A key of a Secret that holds the password. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly passwordSecretRef: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
      };
      /** OAuth 2.0 client credentials: a token is fetched, cached and sent as a bearer token. */
      readonly oauth2ClientCredentials?: {
        /** URL of the authorization server's token endpoint. */
        readonly tokenURL: string;
        /** A key of a Secret that holds the client id. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly clientIDSecretRef: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
        /** A key of a Secret that holds the client secret. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly clientSecretRef: {
          /** Name of the Secret. */
          readonly name: string;
          /** Key within the Secret's data. */
          readonly key: string;
        };
        /** Scopes to request. */
        readonly scopes?: readonly string[];
        /** Audience to request. */
        readonly audience?: string;
      };
      /** A token of a ServiceAccount of this namespace, sent as a bearer token and renewed before it expires. */
      readonly serviceAccountToken?: {
        /** Name of the ServiceAccount, which must carry the label postrider.dev/use: "true". */
        readonly serviceAccountName: string;
        /** Audience of the token: the receiver's. */
        readonly audience: string;
        /** Lifetime of a token. */
        readonly expirationSeconds: number;
      };
    };
    /** TLS towards the receiver. */
    readonly tls?: {
      /** Certificate authorities to trust instead of the public ones. */
      readonly caRef?: {
        /** Kind of the object that holds them. */
        readonly kind: "ConfigMap" | "Secret";
        /** Name of the object. */
        readonly name: string;
        /** Key that holds the PEM bundle. */
        readonly key: string;
      };
      /** A Secret of type kubernetes.io/tls with the client certificate. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
      readonly clientCertSecretRef?: {
        /** Name of the Secret. */
        readonly name: string;
      };
      /** Name to request and to check in the receiver's certificate, if it differs from the URL's host. */
      readonly serverName?: string;
      /** Oldest TLS version accepted. */
      readonly minVersion: "TLS12" | "TLS13";
    };
  };
  /** What the body of a delivery looks like. */
  readonly payload?: {
    /** StandardWebhooks: {type, timestamp, data}. CloudEventsStructured and CloudEventsBinary: as in the CloudEvents HTTP binding. Form: one form parameter that holds the JSON. Raw: the event's data as received. */
    readonly format: "StandardWebhooks" | "CloudEventsStructured" | "CloudEventsBinary" | "Form" | "Raw";
    /** Name of the form parameter, with format Form. Default: payload. */
    readonly formParameter?: string;
    /** A CEL expression that produces the JSON body instead, for example {'version': '1.0', 'event': event.type, 'data': event.data}. Values that are passed on unchanged keep their bytes. */
    readonly body?: string;
  };
  /** How deliveries are signed. Without it: Standard Webhooks with a generated key. */
  readonly signing?: {
    /** The signature scheme. Default: StandardWebhooks. */
    readonly scheme?: "StandardWebhooks" | "StandardWebhooksEd25519" | "HMAC" | "TimestampToken" | "HTTPMessageSignatures" | "None";
    /** Keys, all of which sign, in this order: list the old and the new one while receivers switch. Absent: a Secret <subscription>-signing is generated, or one with the label postrider.dev/signing-for that is there already is used. */
    readonly secretRefs?: readonly {
      /** Name of the Secret. */
      readonly name: string;
      /** Key within the Secret's data. */
      readonly key: string;
    }[];
    /** What happens to the generated Secret after the subscription was deleted. Retain: it stays, and a subscription of this name that is created later signs with the same key. Delete: it is deleted once the deliveries have ended. Secrets in secretRefs are never deleted. Default: Retain. */
    readonly secretDeletionPolicy?: "Retain" | "Delete";
    /** How an HMAC signature is made and written, with scheme HMAC: GitHub, Shopify, Slack, Stripe and similar styles. */
    readonly hmac?: {
      /** Hash of the HMAC. SHA1 is for receivers that support nothing better. */
      readonly algorithm: "SHA256" | "SHA512" | "SHA1";
      /** How the signature's bytes are written. */
      readonly encoding: "Hex" | "Base64";
      /** Header that carries the value. */
      readonly header: string;
      /** What {prefix} stands for, for example sha256=. */
      readonly prefix: string;
      /** Header that carries the Unix time in seconds, if any. */
      readonly timestampHeader?: string;
      /** What is signed: a text with {body}, {timestamp} and {id}, for example {timestamp}.{body}. */
      readonly signedContent: string;
      /** Value of the header: a text with {prefix}, {signature} and {timestamp}, for example t={timestamp},v1={signature}. */
      readonly value: string;
    };
    /** How a timestamp token is made, with scheme TimestampToken: <unix seconds><separator><hmac of the seconds>, fresh for every attempt. */
    readonly token?: {
      /** Name of the body's top-level field, or of the header. */
      readonly field: string;
      /** Where the token goes. */
      readonly placement: "Body" | "Header";
      /** Separator between the time and the HMAC. */
      readonly separator: string;
      /** Hash of the HMAC. */
      readonly algorithm: "SHA256" | "SHA512" | "SHA1";
      /** How the HMAC's bytes are written. */
      readonly encoding: "Hex" | "Base64";
    };
  };
  /** Whether deliveries keep the order of events. */
  readonly ordering?: {
    /** PerKey: in order for each key, while other keys continue. None: no order. */
    readonly mode: "None" | "PerKey";
    /** What is the key: subject, or a path into the event such as data.id. Default: subject. */
    readonly key?: string;
  };
  /** The DeliveryPolicy of this namespace to obey. Default: the namespace's default policy, else the cluster's, else the built-in one. */
  readonly policyRef?: {
    /** Name of the DeliveryPolicy. */
    readonly name: string;
  };
  /** Where deliveries go after they have failed for good. Default: they stay in the store, from where they can be replayed. */
  readonly deadLetter?: {
    /** The receiver of dead letters. */
    readonly endpoint: {
      /** URL that each delivery is POSTed to. The ClusterDeliveryPolicy that applies decides where it may lead. */
      readonly url?: string;
      /** A key of a Secret that holds the URL, for URLs that are secrets themselves. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
      readonly urlSecretRef?: {
        /** Name of the Secret. */
        readonly name: string;
        /** Key within the Secret's data. */
        readonly key: string;
      };
      /** A Service of this namespace, dialled at its ClusterIP. ExternalName and headless Services are refused, and those without a selector unless egress.services of the ClusterDeliveryPolicy allows them. */
      readonly serviceRef?: {
        /** Name of the Service. */
        readonly name: string;
        /** Port of the Service. */
        readonly port: number;
        /** Path and query of the request. */
        readonly path: string;
        /** HTTP, or HTTPS with the certificate checked against the Service's DNS name. */
        readonly scheme: "HTTP" | "HTTPS";
      };
      /** Extra request headers. */
      readonly headers?: readonly {
        /** Name of the header; upper and lower case are equal. */
        readonly name: string;
        /** Value of the header, sent as it is. */
        readonly value?: string;
        /** Where the value comes from. */
        readonly valueFrom?: {
          /** A key of a Secret that holds the value. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly secretKeyRef: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
        };
      }[];
      /** How Postrider authenticates to the receiver: exactly one way. */
      readonly auth?: {
        /** A fixed bearer token. */
        readonly bearer?: {
          /** A key of a Secret that holds the token. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly secretRef: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
        };
        /** HTTP basic authentication. */
        readonly basic?: {
          /** The user name. */
          readonly username?: string;
          /** A key of a Secret that holds the user name. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly usernameSecretRef?: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
          /** A key of a Secret that holds the password. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly passwordSecretRef: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
        };
        /** OAuth 2.0 client credentials: a token is fetched, cached and sent as a bearer token. */
        readonly oauth2ClientCredentials?: {
          /** URL of the authorization server's token endpoint. */
          readonly tokenURL: string;
          /** A key of a Secret that holds the client id. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly clientIDSecretRef: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
          /** A key of a Secret that holds the client secret. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
          readonly clientSecretRef: {
            /** Name of the Secret. */
            readonly name: string;
            /** Key within the Secret's data. */
            readonly key: string;
          };
          /** Scopes to request. */
          readonly scopes?: readonly string[];
          /** Audience to request. */
          readonly audience?: string;
        };
        /** A token of a ServiceAccount of this namespace, sent as a bearer token and renewed before it expires. */
        readonly serviceAccountToken?: {
          /** Name of the ServiceAccount, which must carry the label postrider.dev/use: "true". */
          readonly serviceAccountName: string;
          /** Audience of the token: the receiver's. */
          readonly audience: string;
          /** Lifetime of a token. */
          readonly expirationSeconds: number;
        };
      };
      /** TLS towards the receiver. */
      readonly tls?: {
        /** Certificate authorities to trust instead of the public ones. */
        readonly caRef?: {
          /** Kind of the object that holds them. */
          readonly kind: "ConfigMap" | "Secret";
          /** Name of the object. */
          readonly name: string;
          /** Key that holds the PEM bundle. */
          readonly key: string;
        };
        /** A Secret of type kubernetes.io/tls with the client certificate. The Secret must be in this namespace and carry the label postrider.dev/use: "true". */
        readonly clientCertSecretRef?: {
          /** Name of the Secret. */
          readonly name: string;
        };
        /** Name to request and to check in the receiver's certificate, if it differs from the URL's host. */
        readonly serverName?: string;
        /** Oldest TLS version accepted. */
        readonly minVersion: "TLS12" | "TLS13";
      };
    };
  };
  /** CloudEventsHandshake: nothing is sent until the receiver has allowed it in answer to an OPTIONS request. */
  readonly verification: "None" | "CloudEventsHandshake";
  /** What the history keeps of each attempt. */
  readonly history?: {
    /** Whether headers and body of the receiver's answer are kept (up to the policy's retention.responseBytes). */
    readonly captureResponse: boolean;
    /** Whether results on the ingest port show the receiver's answer to everyone who may publish in the namespace; otherwise only to ServiceAccounts that may get attempts.history.postrider.dev. */
    readonly answerInResults: boolean;
    /** Path of the event field by which people look up records, for example data.id. */
    readonly recordIDField?: string;
  };
  /** Drain: pending deliveries are still tried for up to 5 minutes after the subscription is deleted. Discard: they end at once. */
  readonly deletionPolicy: "Drain" | "Discard";
}

/** What Postrider found and did; written by the controller. */
export interface WebhookSubscriptionStatus {
  /** Generation of the object that the controller last acted upon; -1 until it first has. */
  readonly observedGeneration?: number;
  /** State of the object, one entry per aspect: Ready, Accepted, ResolvedRefs, Programmed, EndpointHealthy, Suspended, Reconciling, Stalled. */
  readonly conditions?: readonly {
    /** Which aspect. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: "True" | "False" | "Unknown";
    /** The reason, as one CamelCase word for programs. */
    readonly reason: string;
    /** The reason, as a sentence for people, with what to do. */
    readonly message: string;
    /** When status last changed. */
    readonly lastTransitionTime: string;
    /** Generation of the object that this describes. */
    readonly observedGeneration?: number;
  }[];
  /** Host that deliveries go to; never the whole URL, which may hold a secret. */
  readonly endpointHost?: string;
  /** Secret that holds the generated signing key. */
  readonly signingSecretName?: string;
  /** The keys that sign, first the one that is listed first. Never their values. */
  readonly signingKeys?: readonly {
    /** Secret that holds it. */
    readonly secretName?: string;
    /** First 16 hex digits of the SHA-256 of the Secret's value, or of the public key whpk_... where the key is Ed25519. Only for generated and Ed25519 keys: a short key that someone chose could be guessed from it. */
    readonly fingerprint?: string;
    /** The public key of an Ed25519 key, whpk_<base64>: receivers verify with it, and it is not secret. */
    readonly publicKey?: string;
  }[];
  /** Value of the annotation postrider.dev/resume that was last obeyed. */
  readonly lastHandledResume?: string;
  /** The policy that is obeyed. */
  readonly effectivePolicy?: {
    /** Kind of the winning policy. One of DeliveryPolicy, ClusterDeliveryPolicy, BuiltIn; later versions may add others. */
    readonly kind?: string;
    /** Name of the winning policy; empty for the built-in one. */
    readonly name?: string;
    /** Its generation. */
    readonly generation?: number;
    /** Fields lowered by the cluster policy's limits, or by the built-in ceiling of timeout x maxInFlight. */
    readonly clamped?: readonly string[];
    /** The ClusterDeliveryPolicy whose limits and egress rules hold. */
    readonly cluster?: {
      /** Its name. */
      readonly name?: string;
      /** Its generation. */
      readonly generation?: number;
    };
    /** What applies to each delivery, after built-in values and ceilings. */
    readonly values?: {
      /** Total time of one attempt. */
      readonly timeout?: string;
      /** Time for DNS, TCP and TLS. */
      readonly connectTimeout?: string;
      /** Most attempts of one delivery. */
      readonly maxAttempts?: number;
      /** Longest time a delivery is tried for. */
      readonly maxAge?: string;
      /** Most requests to the receiver at the same time. */
      readonly maxInFlight?: number;
      /** Most requests to the receiver in a period; absent without a limit. */
      readonly rateLimit?: {
        /** How many requests are allowed in each period. */
        readonly requests?: number;
        /** The period. */
        readonly per?: string;
        /** How many requests may go out at once after a quiet time. */
        readonly burst?: number;
      };
      /** How long the record is kept. */
      readonly retention?: {
        /** How long deliveries and attempts stay visible after they ended. */
        readonly history?: string;
        /** How long bodies of events, requests and answers are kept. */
        readonly bodies?: string;
        /** How much of an answer's body is kept, in bytes. */
        readonly responseBytes?: number;
      };
    };
  };
  /** Counters since `since`, and the latest attempt. The full record is in the history API. */
  readonly delivery?: {
    /** When counting began. */
    readonly since?: string;
    /** Deliveries accepted for this subscription. */
    readonly accepted?: number;
    /** Deliveries that succeeded. */
    readonly delivered?: number;
    /** Failed attempts after which the delivery waits for a retry. */
    readonly retried?: number;
    /** Deliveries that failed for good. */
    readonly failed?: number;
    /** Deliveries in the dead-letter store. */
    readonly deadLettered?: number;
    /** Deliveries that have not ended. */
    readonly pending?: number;
    /** When the oldest pending delivery was accepted. */
    readonly oldestPendingTime?: string;
    /** Failed attempts since the last success. */
    readonly consecutiveFailures?: number;
    /** When the next attempt is due. */
    readonly nextAttemptTime?: string;
    /** When an attempt last succeeded. */
    readonly lastSuccessTime?: string;
    /** When an attempt last failed. */
    readonly lastFailureTime?: string;
    /** The latest attempt. */
    readonly lastAttempt?: {
      /** When it was made. */
      readonly time?: string;
      /** Id of the event. */
      readonly eventID?: string;
      /** Type of the event. */
      readonly eventType?: string;
      /** Number of the attempt, from 1. */
      readonly attempt?: number;
      /** HTTP status; absent when there was no answer. */
      readonly statusCode?: number;
      /** How long it took, in milliseconds. */
      readonly durationMs?: number;
      /** How it ended. One of Success, ClientError, ServerError, Timeout, ConnectError, DNSError, TLSError, Blocked; later versions may add others. */
      readonly outcome?: string;
    };
  };
  /** The latest failed attempts, newest first. */
  readonly recentFailures?: readonly {
    /** When it was made. */
    readonly time?: string;
    /** Id of the event. */
    readonly eventID?: string;
    /** Type of the event. */
    readonly eventType?: string;
    /** Number of the attempt, from 1. */
    readonly attempt?: number;
    /** HTTP status; absent when there was no answer. */
    readonly statusCode?: number;
    /** How long it took, in milliseconds. */
    readonly durationMs?: number;
    /** How it failed. One of ClientError, ServerError, Timeout, ConnectError, DNSError, TLSError, Blocked; later versions may add others. */
    readonly reason?: string;
    /** What went wrong. */
    readonly message?: string;
  }[];
  /** Events for which the filter failed, which counts as no match; absent while there is none. */
  readonly recentFilterErrors?: {
    /** How many since `since`. */
    readonly count?: number;
    /** When counting began: at the first one after a start of Postrider or an edit of the filter. */
    readonly since?: string;
    /** When the newest was. */
    readonly lastTime?: string;
    /** What went wrong with the newest. */
    readonly message?: string;
  };
  /** Paths of the spec for which no event had a value so far, mostly because they are misspelt. */
  readonly keysWithoutValue?: readonly {
    /** Where it is written. One of ordering.key, history.recordIDField; later versions may add others. */
    readonly field?: string;
    /** The path as written. */
    readonly path?: string;
    /** Events since `since`, all without a value there. */
    readonly events?: number;
    /** When counting began: at a start of Postrider or an edit of the path. */
    readonly since?: string;
  }[];
}

/** A DeliveryPolicy says how deliveries are tried, limited and recorded, for the subscriptions that name it, or with the label postrider.dev/default: "true" for all of its namespace that name none. */
export interface DeliveryPolicy {
  readonly apiVersion: "postrider.dev/v1alpha1";
  readonly kind: "DeliveryPolicy";
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: DeliveryPolicySpec;
  readonly status?: DeliveryPolicyStatus;
}

/** The rules. Fields that are left out have their built-in values. */
export interface DeliveryPolicySpec {
  /** Total time of one attempt, from connecting to the end of the answer. Default: 15s. */
  readonly timeout?: string;
  /** Time for DNS, TCP and TLS, within timeout. Default: 5s. */
  readonly connectTimeout?: string;
  /** When a failed attempt is retried. */
  readonly retry?: {
    /** Most attempts of one delivery. Default: 10. */
    readonly maxAttempts?: number;
    /** Longest time a delivery is tried for, counted from acceptance, waiting included. Default: 96h. */
    readonly maxAge?: string;
    /** The delay before each attempt, starting with the first; after the last entry, that entry repeats. Default: 0s, 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h (Standard Webhooks). Excludes backoff. */
    readonly schedule?: readonly string[];
    /** Delays that grow by rule. The first attempt is made at once. Excludes schedule. */
    readonly backoff?: {
      /** How the delay grows. Default: Exponential (doubling). */
      readonly policy?: "Exponential" | "Linear" | "Constant";
      /** Delay before the second attempt. Default: 2s. */
      readonly initialDelay?: string;
      /** Longest delay. Default: 1h. */
      readonly maxDelay?: string;
    };
    /** Each delay is lengthened by a random share of up to this, never before the first attempt. Default: 10. */
    readonly jitterPercent?: number;
    /** HTTP statuses that are retried, as "404", "5xx" or "300-499". Default: 404, 408, 409, 425, 429, 5xx. Network, DNS and TLS errors are always retried. */
    readonly statusCodes?: readonly string[];
    /** Longest Retry-After that is obeyed; 0s ignores the header. Default: 1h. */
    readonly retryAfterMax?: string;
  };
  /** What counts as delivered. */
  readonly success?: {
    /** HTTP statuses that are a success, as "204", "2xx" or "200-204". Default: 2xx. */
    readonly statusCodes?: readonly string[];
  };
  /** Most requests to the receiver in a period. Default: no limit. */
  readonly rateLimit?: {
    /** How many requests are allowed in each period. */
    readonly requests: number;
    /** The period. */
    readonly per: string;
    /** How many requests may go out at once after a quiet time. Default: the value of requests. */
    readonly burst?: number;
  };
  /** Most requests to the receiver at the same time. Lowered so that timeout x maxInFlight is at most 1920 s, unless a ClusterDeliveryPolicy sets limits.maxInFlight. Default: 8. */
  readonly maxInFlight?: number;
  /** When deliveries to a receiver that keeps failing are paused. */
  readonly circuitBreaker?: {
    /** Failed attempts in a row that open the circuit. Default: 20. */
    readonly consecutiveFailures?: number;
    /** How long nothing is sent while the circuit is open. Default: 30s. */
    readonly openFor?: string;
    /** Attempts that must succeed before traffic returns. Default: 1. */
    readonly halfOpenProbes?: number;
  };
  /** Continuous failure after which the subscription is suspended until it is resumed. Default: 120h. */
  readonly autoSuspendAfter?: string;
  /** How long the record is kept. */
  readonly retention?: {
    /** How long deliveries and attempts stay visible after they ended. Default: 72h. */
    readonly history?: string;
    /** How long bodies of events, requests and answers are kept. Default: 72h. */
    readonly bodies?: string;
    /** How much of an answer's body is kept, in bytes. Default: 4096. */
    readonly responseBytes?: number;
  };
}

/** What Postrider found; written by the controller. */
export interface DeliveryPolicyStatus {
  /** Generation of the object that the controller last acted upon; -1 until it first has. */
  readonly observedGeneration?: number;
  /** State of the object, one entry per aspect: Accepted, Ready, Stalled. */
  readonly conditions?: readonly {
    /** Which aspect. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: "True" | "False" | "Unknown";
    /** The reason, as one CamelCase word for programs. */
    readonly reason: string;
    /** The reason, as a sentence for people, with what to do. */
    readonly message: string;
    /** When status last changed. */
    readonly lastTransitionTime: string;
    /** Generation of the object that this describes. */
    readonly observedGeneration?: number;
  }[];
}

/** A ClusterDeliveryPolicy sets ceilings and egress rules for namespaces, and the rules for deliveries where no DeliveryPolicy does. If several select a namespace, one applies as a whole: the one with the highest priority, then one with a selector that is not empty, then the oldest, then the first by name. One that applies nowhere or not everywhere says so in its condition Shadowed. */
export interface ClusterDeliveryPolicy {
  readonly apiVersion: "postrider.dev/v1alpha1";
  readonly kind: "ClusterDeliveryPolicy";
  readonly metadata: ObjectMeta;
  readonly spec: ClusterDeliveryPolicySpec;
  readonly status?: ClusterDeliveryPolicyStatus;
}

/** The rules. */
export interface ClusterDeliveryPolicySpec {
  /** The only Postrider installation that obeys this policy, by its class. Default: every installation. */
  readonly className?: string;
  /** Of several policies that select a namespace the one with the highest priority applies. */
  readonly priority: number;
  /** The namespaces this policy is for, by their labels. Without it, or with {}, it is for all of them. */
  readonly namespaceSelector?: {
    /** Labels that must be there with these values. */
    readonly matchLabels?: Readonly<Record<string, string>>;
    /** Requirements that must all hold. */
    readonly matchExpressions?: readonly {
      /** The label's key. */
      readonly key: string;
      /** How the label is compared. */
      readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
      /** Values, for In and NotIn. */
      readonly values?: readonly string[];
    }[];
  };
  /** Total time of one attempt, from connecting to the end of the answer. Default: 15s. */
  readonly timeout?: string;
  /** Time for DNS, TCP and TLS, within timeout. Default: 5s. */
  readonly connectTimeout?: string;
  /** When a failed attempt is retried. */
  readonly retry?: {
    /** Most attempts of one delivery. Default: 10. */
    readonly maxAttempts?: number;
    /** Longest time a delivery is tried for, counted from acceptance, waiting included. Default: 96h. */
    readonly maxAge?: string;
    /** The delay before each attempt, starting with the first; after the last entry, that entry repeats. Default: 0s, 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h (Standard Webhooks). Excludes backoff. */
    readonly schedule?: readonly string[];
    /** Delays that grow by rule. The first attempt is made at once. Excludes schedule. */
    readonly backoff?: {
      /** How the delay grows. Default: Exponential (doubling). */
      readonly policy?: "Exponential" | "Linear" | "Constant";
      /** Delay before the second attempt. Default: 2s. */
      readonly initialDelay?: string;
      /** Longest delay. Default: 1h. */
      readonly maxDelay?: string;
    };
    /** Each delay is lengthened by a random share of up to this, never before the first attempt. Default: 10. */
    readonly jitterPercent?: number;
    /** HTTP statuses that are retried, as "404", "5xx" or "300-499". Default: 404, 408, 409, 425, 429, 5xx. Network, DNS and TLS errors are always retried. */
    readonly statusCodes?: readonly string[];
    /** Longest Retry-After that is obeyed; 0s ignores the header. Default: 1h. */
    readonly retryAfterMax?: string;
  };
  /** What counts as delivered. */
  readonly success?: {
    /** HTTP statuses that are a success, as "204", "2xx" or "200-204". Default: 2xx. */
    readonly statusCodes?: readonly string[];
  };
  /** Most requests to the receiver in a period. Default: no limit. */
  readonly rateLimit?: {
    /** How many requests are allowed in each period. */
    readonly requests: number;
    /** The period. */
    readonly per: string;
    /** How many requests may go out at once after a quiet time. Default: the value of requests. */
    readonly burst?: number;
  };
  /** Most requests to the receiver at the same time. Lowered so that timeout x maxInFlight is at most 1920 s, unless a ClusterDeliveryPolicy sets limits.maxInFlight. Default: 8. */
  readonly maxInFlight?: number;
  /** When deliveries to a receiver that keeps failing are paused. */
  readonly circuitBreaker?: {
    /** Failed attempts in a row that open the circuit. Default: 20. */
    readonly consecutiveFailures?: number;
    /** How long nothing is sent while the circuit is open. Default: 30s. */
    readonly openFor?: string;
    /** Attempts that must succeed before traffic returns. Default: 1. */
    readonly halfOpenProbes?: number;
  };
  /** Continuous failure after which the subscription is suspended until it is resumed. Default: 120h. */
  readonly autoSuspendAfter?: string;
  /** How long the record is kept. */
  readonly retention?: {
    /** How long deliveries and attempts stay visible after they ended. Default: 72h. */
    readonly history?: string;
    /** How long bodies of events, requests and answers are kept. Default: 72h. */
    readonly bodies?: string;
    /** How much of an answer's body is kept, in bytes. Default: 4096. */
    readonly responseBytes?: number;
  };
  /** Ceilings for every subscription of these namespaces, whatever policy it follows. A value that a policy leaves out is the built-in one, lowered to the ceiling if it is above it. Only rateLimit, for which nothing is built in, takes its ceiling. */
  readonly limits?: {
    /** Longest URL, in characters. Default: 2048. */
    readonly urlLength?: number;
    /** Most subscriptions that one event may match. Default: 10000. */
    readonly fanOut?: number;
    /** Most bytes that each of these namespaces may use in the store: events, deliveries and history. Default: the larger of 1Gi and a quarter of the volume, and at most half of what others leave free. */
    readonly storage?: string;
    /** Ceiling of timeout. */
    readonly timeout?: string;
    /** Ceiling of maxInFlight; set, it replaces the built-in one (timeout x maxInFlight at most 1920 s). */
    readonly maxInFlight?: number;
    /** Ceiling of rateLimit, for each subscription. */
    readonly rateLimit?: {
      /** How many requests are allowed in each period. */
      readonly requests: number;
      /** The period. */
      readonly per: string;
      /** How many requests may go out at once after a quiet time. Default: the value of requests. */
      readonly burst?: number;
    };
    /** Ceiling of retry.maxAttempts. */
    readonly maxAttempts?: number;
    /** Ceiling of retry.maxAge. */
    readonly maxAge?: string;
    /** Ceilings of retention. */
    readonly retention?: {
      /** How long deliveries and attempts stay visible after they ended. */
      readonly history?: string;
      /** How long bodies of events, requests and answers are kept. */
      readonly bodies?: string;
      /** How much of an answer's body is kept, in bytes. */
      readonly responseBytes?: number;
    };
  };
  /** Where deliveries may go. Metadata addresses are always refused; then deniedCIDRs, allowedCIDRs and the built-in rules (public addresses only) decide. */
  readonly egress?: {
    /** If set, only these hosts may be called. */
    readonly allowedHosts?: readonly string[];
    /** Ranges that may be called although the built-in rules forbid them, such as private networks. Restricts nothing. */
    readonly allowedCIDRs?: readonly string[];
    /** Ranges that may never be called. */
    readonly deniedCIDRs?: readonly string[];
    /** Whether http:// URLs may be called. */
    readonly allowPlainHTTP: boolean;
    /** Ports that may be called, as "443" or "8000-8999". Default: 80, 443 and 1024-65535 without 2379, 2380, 3306, 5432, 6379, 6443, 9200, 10250, 11211 and 27017. */
    readonly ports?: readonly string[];
    /** Which Services of the subscription's own namespace endpoint.serviceRef may name. SameNamespace: those with a selector. SameNamespaceAny: those without one as well, which lead wherever their EndpointSlices point. */
    readonly services: "None" | "SameNamespace" | "SameNamespaceAny";
    /** A key of a Secret, in Postrider's own namespace and with the label postrider.dev/use, that holds the URL of an HTTP proxy for all deliveries. */
    readonly proxySecretRef?: {
      /** Name of the Secret. */
      readonly name: string;
      /** Key within the Secret's data. */
      readonly key: string;
    };
  };
}

/** What Postrider found; written by the controller. */
export interface ClusterDeliveryPolicyStatus {
  /** Generation of the object that the controller last acted upon; -1 until it first has. */
  readonly observedGeneration?: number;
  /** State of the object, one entry per aspect: Accepted, Ready, Stalled, Shadowed. */
  readonly conditions?: readonly {
    /** Which aspect. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: "True" | "False" | "Unknown";
    /** The reason, as one CamelCase word for programs. */
    readonly reason: string;
    /** The reason, as a sentence for people, with what to do. */
    readonly message: string;
    /** When status last changed. */
    readonly lastTransitionTime: string;
    /** Generation of the object that this describes. */
    readonly observedGeneration?: number;
  }[];
  /** Namespaces in which this policy applies: those that it selects and in which no other policy comes before it. */
  readonly namespaces?: number;
}

/** A DeliveryReplay sends recorded deliveries of one subscription again, once. Deleting it stops it. This version does not obey it, which its condition Accepted says, and its fields may change until a version does. */
export interface DeliveryReplay {
  readonly apiVersion: "postrider.dev/v1alpha1";
  readonly kind: "DeliveryReplay";
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: DeliveryReplaySpec;
  readonly status?: DeliveryReplayStatus;
}

/** What is sent again. Only suspend can be changed later. */
export interface DeliveryReplaySpec {
  /** The subscription whose deliveries are sent again. */
  readonly subscriptionRef: {
    /** Name of the WebhookSubscription, in this namespace. */
    readonly name: string;
  };
  /** DeadLetter: what is in the dead-letter store. Failed: every delivery that failed. All: delivered ones too. */
  readonly from: "DeadLetter" | "Failed" | "All";
  /** Only events accepted in this time. */
  readonly window?: {
    /** Start of the window, inclusive. */
    readonly start?: string;
    /** End of the window, exclusive. */
    readonly end?: string;
  };
  /** A CEL expression over the event that must be true, as in a subscription. */
  readonly filter?: string;
  /** Most events to send again. */
  readonly maxEvents?: number;
  /** Most requests in a period, in addition to the subscription's own limit. */
  readonly rateLimit?: {
    /** How many requests are allowed in each period. */
    readonly requests: number;
    /** The period. */
    readonly per: string;
    /** How many requests may go out at once after a quiet time. Default: the value of requests. */
    readonly burst?: number;
  };
  /** How long the finished DeliveryReplay is kept, in seconds. Default: until it is deleted. */
  readonly ttlSecondsAfterFinished?: number;
  /** While true nothing is sent. */
  readonly suspend: boolean;
}

/** Progress of the replay; written by the controller. */
export interface DeliveryReplayStatus {
  /** Generation of the object that the controller last acted upon; -1 until it first has. */
  readonly observedGeneration?: number;
  /** State of the object, one entry per aspect: Accepted, Stalled, Complete, Failed. */
  readonly conditions?: readonly {
    /** Which aspect. */
    readonly type: string;
    /** Whether it holds. */
    readonly status: "True" | "False" | "Unknown";
    /** The reason, as one CamelCase word for programs. */
    readonly reason: string;
    /** The reason, as a sentence for people, with what to do. */
    readonly message: string;
    /** When status last changed. */
    readonly lastTransitionTime: string;
    /** Generation of the object that this describes. */
    readonly observedGeneration?: number;
  }[];
  /** When it started. */
  readonly startTime?: string;
  /** When it ended. */
  readonly completionTime?: string;
  /** Deliveries that are to be sent again. */
  readonly matched?: number;
  /** Deliveries put in the queue so far. */
  readonly replayed?: number;
  /** Of these, delivered. */
  readonly delivered?: number;
  /** Of these, failed. */
  readonly failed?: number;
  /** Deliveries that could not be sent again, because their body is gone. */
  readonly skipped?: number;
  /** Acceptance time of the last processed event; everything before it is done. */
  readonly lastEventTime?: string;
}
