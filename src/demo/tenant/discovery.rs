//! The discovery document, shaped as Entra ID serves it for one tenant (`entra.md` 1.2).
//!
//! What Entra leaves out is left out: PKCE methods, back-channel logout, the `iss` parameter.

use serde_json::{Value, json};

/// The document for one tenant; every address has the tenant's GUID, however it was asked for.
pub(super) fn document(origin: &str, tenant_id: &str) -> Value {
    let tenant = format!("{origin}/{tenant_id}");
    json!({
        "token_endpoint": format!("{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{tenant}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{tenant}/v2.0"),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": format!("{origin}/oidc/userinfo"),
        "authorization_endpoint": format!("{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{tenant}/oauth2/v2.0/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{tenant}/oauth2/v2.0/logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name",
            "cloud_graph_host_name", "msgraph_host", "aud", "exp", "iat", "auth_time", "acr",
            "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
        ],
        "kerberos_endpoint": format!("{tenant}/kerberos"),
        "tenant_region_scope": "WW",
        "cloud_instance_name": "demo",
        "cloud_graph_host_name": "localhost",
        "msgraph_host": "localhost",
        "rbac_url": origin,
    })
}
