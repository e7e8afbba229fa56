# Access tokens, checked by the gateway before a request reaches a service that asks for one.
#
# The gateway decides by itself on tokens of exactly the shape that auth-core gives them, signed with ES256 or RS256 by a key that it
# knows. Anything else (a key that it does not know yet, an algorithm that it cannot or must not check) is auth-core's to decide, and
# so is each token of a route that is `live`. So there is one reading of a token: what the gateway takes for good has no name twice,
# no escape and no claim that it does not know.
{
  # The names of the routes that need a token, and of those whose token the core must confirm each time.
  withToken,
  live,
  # What tokens must say.
  issuer,
  audience,
  # Seconds that a token is good past its `exp`, for clocks that differ; as the core has it.
  leewaySeconds,
  # The directory that `auth-core keys follow` fills: N.pem, and kids.map, which says `KID ALGORITHM-N`.
  keyDirectory,
  keySlots,
  # For whoever fills it.
  lookSeconds,
  # How many tokens are remembered, for how long.
  remembered,
  # verify-token.lua, and the socket on which it asks the core.
  askCore,
  askSocket,
}:
let
  inherit (builtins)
    concatLists
    concatStringsSep
    genList
    map
    ;
  errors = import ./errors.nix;
  names = concatStringsSep " ";
  optionals = condition: list: if condition then list else [ ];

  orLive = if live == [ ] then "" else " or token_route live_route";
  verify =
    slot: algorithm:
    ''http-request set-var(txn.signed) var(txn.token),jwt_verify("${algorithm}","${keyDirectory}/${toString slot}.pem") if { var(txn.slot) -m str ${algorithm}-${toString slot} } { var(txn.token_head) -m sub '"${algorithm}"' }'';

  # Nothing that HAProxy would take for more than a word.
  plain =
    text:
    if builtins.match "[A-Za-z0-9./:_-]+" text == null then
      throw "tokens.issuer and tokens.audience: \"${text}\" has other characters than a URL"
    else
      text;

  # Of the core's own making: `docs/reference/tokens.md`.
  text = ''"[^"\\[:cntrl:]]+"'';
  id = ''"[A-Za-z0-9_-]+"'';
  number = "[0-9]{1,12}";
  head = ''^\{"typ":"at\+jwt","alg":"(ES256|RS256)","kid":${id}\}$'';
  claims = ''^\{"iss":${text},"aud":${text},"sub":${id},"sid":${id},"email":${text},"role":${id},"iat":${number},"exp":${number},"jti":${id}\}$'';
  # Claims of exactly this shape need no JSON parser: each is between two quotation marks, or before a comma.
  between = number: "var(txn.claims),field(${toString number},'\\\"')";
  number' = number: "${between number},field(2,:),field(1,'\\,')";
  claim = {
    iss = between 4;
    aud = between 8;
    sub = between 12;
    email = between 20;
    role = between 24;
    iat = number' 27;
    exp = number' 29;
  };
in
{
  global = [ "lua-load ${askCore}" ];

  rules = [
    "# Who came with an API key needs no token."
    "http-request set-var(txn.token_due) bool(true) if { var(txn.route) -m str ${names withToken} } !{ var(txn.api_key) -m found }"
    "acl token_route var(txn.token_due) -m bool"
  ]
  ++ optionals (live != [ ]) [ "acl live_route var(txn.route) -m str ${names live}" ]
  ++ [
    "# HAProxy verifies an ECDSA signature anew each time. So whoever sends the very header that was judged before is spared all of it but"
    "# the clock. The table is empty after each reload, and so after each change of keys."
    "http-request set-var(txn.token_hash) req.fhdr(authorization),sha2(256) if token_route { req.fhdr_cnt(authorization) eq 1 }"
    "http-request set-var(txn.judged) bool(true) if token_route { var(txn.token_hash),in_table(tokens) }"
    "acl judged var(txn.judged) -m bool"
    "http-request set-var(txn.unjudged) bool(true) if token_route !judged"
    "acl unjudged var(txn.unjudged) -m bool"
    "${errors.unauthenticated.missing} if unjudged !{ req.fhdr(authorization) -m found }"
    "acl one_token req.fhdr(authorization) -m reg -i '^bearer [a-z0-9_-]+\\.[a-z0-9_-]+\\.[a-z0-9_-]+$'"
    "${errors.unauthenticated.invalid} if unjudged !one_token"
    "${errors.unauthenticated.invalid} if unjudged !{ req.fhdr_cnt(authorization) eq 1 }"
    "http-request set-var(txn.token) http_auth_bearer if unjudged${orLive}"
    "${errors.unauthenticated.invalid} if unjudged { var(txn.token),length gt 4096 }"
    "http-request set-var(txn.claims) req.fhdr(authorization),field(2,.),ub64dec if token_route"
    "# Which key it is, of those that are known; none of what only the core can judge."
    "http-request set-var(txn.token_head) var(txn.token),field(1,.),ub64dec if unjudged"
    "http-request set-var(txn.slot) var(txn.token),jwt_header_query('$.kid'),map(${keyDirectory}/kids.map) if unjudged { var(txn.token_head) -m reg '${head}' } { var(txn.claims) -m reg '${claims}' }"
    "acl known_key var(txn.slot) -m found"
  ]
  ++ concatLists (
    genList (
      slot:
      map (verify (slot + 1)) [
        "ES256"
        "RS256"
      ]
    ) keySlots
  )
  ++ [
    "${errors.unauthenticated.invalid} if known_key !{ var(txn.signed) -m int 1 }"
    "${errors.unauthenticated.invalid} if known_key !{ ${claim.iss} -m str ${plain issuer} }"
    "${errors.unauthenticated.invalid} if known_key !{ ${claim.aud} -m str ${plain audience} }"
    "http-request set-var(txn.judged) bool(true) if known_key"
    "http-request set-var(txn.now) date if judged"
    "http-request set-var(txn.left) ${claim.exp},add(${toString leewaySeconds}),sub(txn.now) if judged"
    "http-request set-var(txn.issued) ${claim.iat} if known_key"
    "${errors.unauthenticated.expired} if judged !{ var(txn.left) -m int ge 0 }"
    "${errors.unauthenticated.invalid} if known_key !{ var(txn.now),add(${toString leewaySeconds}),sub(txn.issued) -m int ge 0 }"
    "http-request set-var(txn.subject) ${claim.sub} if judged"
    "http-request set-var(txn.email) ${claim.email} if judged"
    "http-request set-var(txn.role) ${claim.role} if judged"
    "http-request set-var(txn.verdict) str(UNAVAILABLE) if token_route !judged${orLive}"
    "http-request lua.ask_core ${askSocket} if token_route !judged${orLive}"
    "acl asked var(txn.verdict) -m found"
    "${errors.unauthenticated.unknown} if asked { var(txn.verdict) -m str UNAVAILABLE }"
    "${errors.unauthenticated.expired} if asked { var(txn.verdict) -m str TOKEN_EXPIRED }"
    "${errors.unauthenticated.invalid} if token_route !judged !{ var(txn.verdict) -m str GOOD }"
  ]
  ++ optionals (live != [ ]) [
    "${errors.unauthenticated.invalid} if token_route live_route !{ var(txn.verdict) -m str GOOD }"
  ]
  ++ map (name: "http-request set-header x-auth-${name} %[var(txn.${name})] if token_route") [
    "subject"
    "email"
    "role"
  ];

  # For each route's backend. Written by `stick`, which needs no counter of the session.
  remember = [ "stick store-request var(txn.token_hash) table tokens if { var(txn.slot) -m found }" ];

  sections = [
    ""
    "backend tokens"
    "  stick-table type binary len 32 size ${toString remembered.tokens} expire ${toString remembered.seconds}s"
    ""
    "# What the gateway itself asks the core."
    "frontend questions"
    "  bind unix@${askSocket} mode 600"
    "  http-request set-log-level silent"
    "  default_backend auth-core"
  ];
}
