//! Providers that change: a new secret takes over, what is known stays, what is gone is left alone.

use std::{fs, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{FOR_ALL, comes_to, house, path, plain_house, replace, route, route_file};
use crate::support::{
    PATIENCE, eventually,
    house::{HOST, House},
    issuer::{self, CLIENT_ID, TokenRequest},
    vestibule::Builder,
};

const OTHER: &str = "erp.example";

/// Whether a token request was made with this secret, however it was sent.
fn has_secret(request: &TokenRequest, secret: &str) -> bool {
    let in_form = request
        .form
        .iter()
        .any(|(name, value)| name == "client_secret" && value == secret);
    let basic = request.authorization.as_deref().unwrap_or_default();
    let decoded = BASE64_STANDARD
        .decode(basic.trim_start_matches("Basic "))
        .unwrap_or_default();
    in_form || String::from_utf8_lossy(&decoded).ends_with(&format!(":{secret}"))
}

fn last_request(house: &House) -> TokenRequest {
    house.idp.token_requests().pop().unwrap()
}

#[tokio::test]
async fn a_new_secret_is_used_for_the_next_token_request() {
    let house = plain_house().await;
    let vestibule = &house.vestibule;
    let mut ann = house.browser_of("ann").await;
    assert!(!has_secret(&last_request(&house), "rotated"));
    // A sign-in that is at the provider while the secret changes.
    let mut bob = house.browser();
    let back = house.way_back(&mut bob, "/").await;
    let file = path(vestibule, "secrets/corp");
    comes_to(vestibule, "applied", || {
        fs::write(&file, "rotated\n").unwrap();
    })
    .await;
    assert!(house.is_in(&mut ann).await);
    bob.view(back.as_str()).await;
    assert!(has_secret(&last_request(&house), "rotated"));
    comes_to(vestibule, "refused", || fs::write(&file, "\n").unwrap()).await;
    let mut carla = house.browser();
    house.come_back(&mut carla).await;
    assert!(
        has_secret(&last_request(&house), "rotated"),
        "an empty one replaces nothing"
    );
    comes_to(vestibule, "applied", || {
        fs::write(&file, issuer::CLIENT_SECRET).unwrap();
    })
    .await;
    house.browser_of("dora").await;
    assert!(house.is_in(&mut ann).await);
}

#[tokio::test]
async fn a_new_secret_takes_over_while_the_provider_is_out_of_reach() {
    let house = plain_house().await;
    house.idp.go_down().await;
    let file = path(&house.vestibule, "secrets/corp");
    comes_to(&house.vestibule, "applied", || {
        fs::write(&file, "rotated").unwrap();
    })
    .await;
    // Sending a browser off needs what was known before.
    let mut ann = house.browser();
    assert_eq!(ann.view(&house.url("/")).await.status, 302);
}

#[tokio::test]
async fn a_provider_that_is_gone_is_asked_nothing_any_more() {
    let time = crate::support::clock::manual();
    let second = issuer::honest(&time).run();
    let with_second = |builder: Builder, app: &_| {
        let builder = builder.route("erp", OTHER, "idp = \"second\"\nallow = \"signed-in\"", app);
        builder.provider("second", &second)
    };
    let with_first = |builder: Builder, app: &crate::support::upstream::Echo| {
        with_second(builder, app).main("[defaults]\nidp = \"corp\"")
    };
    let house = house(with_first).await;
    let vestibule = &house.vestibule;
    eventually("both are known", || {
        house.idp.discovery_fetches() > 0 && second.discovery_fetches() > 0
    })
    .await;
    let main = path(vestibule, "config/vestibule.toml");
    let away = || {
        let text = fs::read_to_string(&main).unwrap();
        let (before, after) = text.split_once("[idp.second]").unwrap();
        let (_, after) = after.split_once("[defaults]").unwrap();
        fs::write(&main, format!("{before}[defaults]{after}")).unwrap();
        fs::remove_file(route_file(vestibule, "erp")).unwrap();
    };
    comes_to(vestibule, "applied", away).await;
    let (first_before, second_before) = (house.idp.discovery_fetches(), second.discovery_fetches());
    // Hours later the first was asked again, more than once.
    let fetched_twice = async {
        while house.idp.discovery_fetches() < first_before + 2 {
            house.wait(Duration::from_mins(10));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, fetched_twice).await.unwrap();
    assert_eq!(second.discovery_fetches(), second_before);
    // And it comes back.
    let back = || {
        let text = fs::read_to_string(&main).unwrap();
        let section = format!(
            "[idp.second]\nissuer = \"{}\"\nclient_id = \"x\"\nclient_secret = \"y\"\n[defaults]",
            second.authority()
        );
        fs::write(&main, text.replace("[defaults]", &section)).unwrap();
        let rules = format!("idp = \"second\"\n{FOR_ALL}");
        fs::write(
            route_file(vestibule, "erp"),
            route(vestibule, OTHER, &house.app, &rules),
        )
        .unwrap();
    };
    comes_to(vestibule, "applied", back).await;
    vestibule.can_sign_in(OTHER).await;
}

#[tokio::test]
async fn sessions_of_another_provider_do_not_count_once_a_route_has_changed_it() {
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    comes_to(&house.vestibule, "applied", || {
        replace(&main, "[idp.corp]", "[idp.renamed]");
    })
    .await;
    assert!(!house.is_in(&mut ann).await);
    house.vestibule.can_sign_in(HOST).await;
    house.browser_of("ann").await;
}

#[tokio::test]
async fn sessions_do_not_count_once_their_provider_stands_on_something_else() {
    let house = plain_house().await;
    let mut ann = house.browser_of("ann").await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    let client = format!("client_id = \"{CLIENT_ID}\"");
    let change = |from: &str, to: &str| replace(&main, from, to);
    comes_to(&house.vestibule, "applied", || {
        change(&client, "client_id = \"another\"");
    })
    .await;
    assert!(!house.is_in(&mut ann).await);
    comes_to(&house.vestibule, "applied", || {
        change("client_id = \"another\"", &client);
    })
    .await;
    assert!(house.is_in(&mut ann).await, "it is the same one again");
}

#[tokio::test]
async fn a_sign_in_under_way_ends_where_its_provider_stands_on_something_else() {
    // S-178: the code of one provider is never sent to another.
    let house = plain_house().await;
    let mut bob = house.browser();
    let back = house.way_back(&mut bob, "/").await;
    let main = path(&house.vestibule, "config/vestibule.toml");
    comes_to(&house.vestibule, "applied", || {
        let client = format!("client_id = \"{CLIENT_ID}\"");
        replace(&main, &client, "client_id = \"another\"");
    })
    .await;
    bob.view(back.as_str()).await;
    assert!(house.idp.token_requests().is_empty());
    assert!(!house.is_in(&mut bob).await);
}
