//! What the person who started the demo reads.

use std::{
    fmt::{self, Display},
    path::Path,
};

use super::run::Addresses;

/// The text for the terminal; ends with a line break.
pub(super) struct Introduction<'a> {
    pub(super) addresses: &'a Addresses,
    pub(super) folder: &'a Path,
    pub(super) authority_file: &'a Path,
    /// Whether the folder goes when the demo ends.
    pub(super) temporary: bool,
    /// The port asked for, if it was taken.
    pub(super) taken_port: Option<u16>,
}

impl Display for Introduction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Addresses { wiki, orders, .. } = self.addresses;
        let folder = self.folder.display();
        let authority_file = self.authority_file.display();
        writeln!(
            f,
            "Vestibule demo: an emulated Entra tenant, two legacy apps, vestibule in front.\n"
        )?;
        if let Some(port) = self.taken_port {
            writeln!(f, "Port {port} is taken, so the demo has another one.\n")?;
        }
        writeln!(
            f,
            "Open     {wiki}/\n\
             then     {orders}/\n\n\
             Sign in as one of three people; nobody has a password.\n\
             \x20 Ann Lindqvist  may enter the wiki and, with the role Erp.User, the orders\n\
             \x20 Zoë Müller     may enter the wiki; the orders refuse her and say whom to ask\n\
             \x20 Gil Partner    is a guest: the wiki lets guests in, the orders do not\n\n\
             The browser warns of a certificate nobody knows: it is made anew each time. Go on past\n\
             the warning, or trust {authority_file} for as long as\n\
             the demo runs; it speaks for localhost alone. Without a browser:\n\
             \x20 curl --cacert {authority_file} {wiki}/health\n\n\
             The configuration is in {folder}/config{}\n\
             Ctrl-C ends the demo.",
            if self.temporary {
                " and goes when the demo ends."
            } else {
                " and stays."
            }
        )
    }
}
